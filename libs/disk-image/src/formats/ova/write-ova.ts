import { createHash } from 'node:crypto';
import type { OutputFile } from '../output-file';
import { type OvaMachine, describeMachine } from './describe-machine';
import { formatManifest } from './manifest';
import { BLOCK_BYTES, tarEnd, tarHeader, tarPadding } from './tar';

export interface OvaContent {
  readonly machine: OvaMachine;
  /** What the members are called, before the dot. */
  readonly stem: string;
  readonly virtualBytes: number;
  /** The bytes of the disk as streamOptimized VMDK. */
  readonly disk: (fileName: string) => AsyncIterable<Buffer>;
  readonly madeAt: Date;
}

/**
 * Writes an OVA in one pass: descriptor, disk, manifest, as DSP0243 orders them. The disk goes straight into the
 * archive; its length and digest, which come first, are put in when they are known.
 */
export async function writeOva(output: OutputFile, content: OvaContent): Promise<void> {
  const { machine, stem, virtualBytes } = content;
  const names = { ovf: `${stem}.ovf`, disk: `${stem}-disk1.vmdk`, manifest: `${stem}.mf` };
  const seconds = Math.floor(content.madeAt.getTime() / 1000);
  const describe = (fileBytes: number): Buffer =>
    Buffer.from(describeMachine(machine, { fileName: names.disk, fileBytes, virtualBytes }));

  const placeholder = describe(0);
  await output.append(tarHeader(names.ovf, placeholder.length, seconds));
  await output.append(placeholder);
  await output.append(tarPadding(placeholder.length));

  const diskHeaderAt = output.writtenBytes;
  await output.append(tarHeader(names.disk, 0, seconds));
  const diskAt = output.writtenBytes;
  const sha256 = await output.appendHashed(content.disk(names.disk));
  const fileBytes = output.writtenBytes - diskAt;
  await output.append(tarPadding(fileBytes));

  const ovf = describe(fileBytes);
  if (ovf.length !== placeholder.length) throw new RangeError('The descriptor does not fit its place.');
  const manifest = Buffer.from(
    formatManifest([
      { name: names.ovf, sha256: createHash('sha256').update(ovf).digest('hex') },
      { name: names.disk, sha256 },
    ]),
  );
  await output.append(tarHeader(names.manifest, manifest.length, seconds));
  await output.append(manifest);
  await output.append(tarPadding(manifest.length));
  await output.append(tarEnd());
  await output.correct(BLOCK_BYTES, ovf);
  await output.correct(diskHeaderAt, tarHeader(names.disk, fileBytes, seconds));
}
