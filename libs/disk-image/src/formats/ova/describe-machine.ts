import { escapeXml } from '../xml/write-xml';

/** The virtual machine that an OVA's descriptor asks for. */
export interface OvaMachine {
  readonly name: string;
  readonly cpuCount: number;
  readonly memoryMib: number;
  readonly firmware: 'bios' | 'uefi';
  /** VMware's names of the devices. */
  readonly diskController: 'pvscsi' | 'lsilogicsas' | 'lsilogic' | 'ide';
  readonly nicModel: 'vmxnet3' | 'e1000e' | 'e1000';
  readonly nics: readonly OvaNic[];
  /** VMware's identifier of the guest system, such as debian12_64Guest; default otherLinux64Guest. */
  readonly guestId?: string;
}

export interface OvaNic {
  /** Name of the network that it is on; platforms map it when they import. */
  readonly network: string;
  readonly mac?: string;
}

export interface OvaDisk {
  readonly fileName: string;
  readonly fileBytes: number;
  readonly virtualBytes: number;
}

/** CIM_ResourceAllocationSettingData.ResourceType, DMTF DSP1041. */
const RESOURCE = { cpu: 3, memory: 4, ide: 5, scsi: 6, nic: 10, disk: 17 } as const;
/** Hardware that VMware ESXi 6.5 and later have: the first with pvscsi, vmxnet3, e1000e and UEFI together. */
const HARDWARE = 'vmx-13';
/** CIM_OperatingSystem.OSType: Linux of 64 bits. */
const LINUX_64 = 101;
const STREAM_FORMAT = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized';

const CONTROLLERS = {
  pvscsi: { resource: RESOURCE.scsi, subtype: 'VirtualSCSI', name: 'SCSI controller 0' },
  lsilogicsas: { resource: RESOURCE.scsi, subtype: 'lsilogicsas', name: 'SCSI controller 0' },
  lsilogic: { resource: RESOURCE.scsi, subtype: 'lsilogic', name: 'SCSI controller 0' },
  ide: { resource: RESOURCE.ide, subtype: 'PIIX4', name: 'IDE controller 0' },
} as const;
const NICS = { vmxnet3: 'VmxNet3', e1000e: 'E1000e', e1000: 'E1000' } as const;

/**
 * The OVF 1.1 descriptor (DMTF DSP0243) of a machine with one disk: a version that every importer reads. Its
 * length does not depend on `fileBytes`, which is known only after the descriptor has its place.
 */
export function describeMachine(machine: OvaMachine, disk: OvaDisk): string {
  const name = escapeXml(machine.name);
  const networks = [...new Set(machine.nics.map(({ network }) => network))];
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:id="file1" ovf:href="${escapeXml(disk.fileName)}" ovf:size="${disk.fileBytes}"/>${spacesAfter(disk.fileBytes)}
  </References>
  <DiskSection>
    <Info>Disks of the machine</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="${disk.virtualBytes}" ovf:capacityAllocationUnits="byte" ovf:format="${STREAM_FORMAT}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks of the machine</Info>
${networks.map((network) => `    <Network ovf:name="${escapeXml(network)}"><Description>${escapeXml(network)}</Description></Network>`).join('\n')}
  </NetworkSection>
  <VirtualSystem ovf:id="${name}">
    <Info>A virtual machine</Info>
    <Name>${name}</Name>
    <OperatingSystemSection ovf:id="${LINUX_64}" vmw:osType="${escapeXml(machine.guestId ?? 'otherLinux64Guest')}">
      <Info>Its operating system</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Its hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>${HARDWARE}</vssd:VirtualSystemType>
      </System>
${itemsOf(machine).join('\n')}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="${machine.firmware === 'uefi' ? 'efi' : 'bios'}"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}

/** What the number of bytes leaves of 16 digits, between elements, where it means nothing. */
function spacesAfter(fileBytes: number): string {
  return ' '.repeat(16 - `${fileBytes}`.length);
}

function itemsOf(machine: OvaMachine): string[] {
  const controller = CONTROLLERS[machine.diskController];
  const items = [
    item({
      ElementName: `${machine.cpuCount} virtual CPUs`,
      InstanceID: 1,
      AllocationUnits: 'hertz * 10^6',
      ResourceType: RESOURCE.cpu,
      VirtualQuantity: machine.cpuCount,
    }),
    item({
      ElementName: `${machine.memoryMib} MiB of memory`,
      InstanceID: 2,
      AllocationUnits: 'byte * 2^20',
      ResourceType: RESOURCE.memory,
      VirtualQuantity: machine.memoryMib,
    }),
    item({
      ElementName: controller.name,
      InstanceID: 3,
      Address: 0,
      ResourceSubType: controller.subtype,
      ResourceType: controller.resource,
    }),
    item({
      ElementName: 'Hard disk 1',
      InstanceID: 4,
      AddressOnParent: 0,
      HostResource: 'ovf:/disk/disk1',
      Parent: 3,
      ResourceType: RESOURCE.disk,
    }),
  ];
  for (const [index, { network, mac }] of machine.nics.entries())
    items.push(
      item({
        ElementName: `Network adapter ${index + 1}`,
        InstanceID: 5 + index,
        ...(mac !== undefined && { Address: mac }),
        AddressOnParent: 7 + index,
        AutomaticAllocation: 'true',
        Connection: network,
        ResourceSubType: NICS[machine.nicModel],
        ResourceType: RESOURCE.nic,
      }),
    );
  return items;
}

/** The schema wants an item's elements in the order of the alphabet. */
function item(elements: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries(elements)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `        <rasd:${name}>${escapeXml(`${value}`)}</rasd:${name}>`);
  return ['      <Item>', ...lines, '      </Item>'].join('\n');
}
