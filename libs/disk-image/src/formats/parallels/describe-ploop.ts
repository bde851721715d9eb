import { escapeXml } from '../xml/write-xml';
import { SECTOR_BYTES } from '../refusals';

/** What Virtuozzo calls an image without snapshots. */
const TOP_GUID = '{5fbaabe3-6958-40ff-92a7-860e329aab41}';
const NO_GUID = '{00000000-0000-0000-0000-000000000000}';
const HEADS = 16;
const SECTORS = 63;

/** The descriptor of a bundle with one expandable image; `clusterBytes` as in the image's header. */
export function describePloop(fileName: string, virtualBytes: number, clusterBytes: number): string {
  const sectors = virtualBytes / SECTOR_BYTES;
  return `<?xml version="1.0"?>
<Parallels_disk_image Version="1.0">
  <Disk_Parameters>
    <Disk_size>${sectors}</Disk_size>
    <Cylinders>${Math.floor(sectors / (HEADS * SECTORS))}</Cylinders>
    <Heads>${HEADS}</Heads>
    <Sectors>${SECTORS}</Sectors>
    <Padding>0</Padding>
  </Disk_Parameters>
  <StorageData>
    <Storage>
      <Start>0</Start>
      <End>${sectors}</End>
      <Blocksize>${clusterBytes / SECTOR_BYTES}</Blocksize>
      <Image>
        <GUID>${TOP_GUID}</GUID>
        <Type>Compressed</Type>
        <File>${escapeXml(fileName)}</File>
      </Image>
    </Storage>
  </StorageData>
  <Snapshots>
    <TopGUID>${TOP_GUID}</TopGUID>
    <Shot>
      <GUID>${TOP_GUID}</GUID>
      <ParentGUID>${NO_GUID}</ParentGUID>
    </Shot>
  </Snapshots>
</Parallels_disk_image>
`;
}
