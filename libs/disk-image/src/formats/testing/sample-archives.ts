import { writeFile } from 'node:fs/promises';
import { tarEnd, tarHeader, tarPadding } from '../ova/tar';

/** A member of an archive. */
export interface Member {
  readonly name: string;
  readonly content: Buffer;
}

/** Writes a tar archive of these members. */
export async function sampleArchive(path: string, members: readonly Member[]): Promise<string> {
  const parts = members.flatMap(({ name, content }) => [
    tarHeader(name, content.length, 0),
    content,
    tarPadding(content.length),
  ]);
  await writeFile(path, Buffer.concat([...parts, tarEnd()]));
  return path;
}

/** A descriptor of one disk. */
export const ovfOf = (virtualBytes: number, file = 'ovf:href="disk.vmdk"', diskAttributes = ''): Member => ({
  name: 'machine.ovf',
  content: Buffer.from(`<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ${file}/></References>
  <DiskSection><Info/><Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="${virtualBytes}" ovf:format="vmdk" ${diskAttributes}/></DiskSection>
</Envelope>`),
});
