import { open } from 'node:fs/promises';

/*
 * A guest in one boot sector, made so that a lost write shows. In protected mode, a hundred times a second, it
 * writes `writesPerTick` pages of a ring of `ringPages` pages: the running number at the page's begin, its
 * complement at the end. Every eighth tick it reads the whole ring back and prints
 * `N=<ticks> W=<writes> B=<pages that hold something else>`, all hexadecimal.
 *
 *   0000  cli, segments to 0, A20 on, protected mode with flat segments
 *   001f  interrupt 32 -> irq0, PIC mask, timer to `divisor`, counters to 0, sti
 *   0063  tick: hlt; write pages; every eighth time verify the ring and print; again
 *   00e5  address: page number -> ring address from 2 MiB; field, put: hexadecimal to COM1; irq0: end of interrupt
 *   0140  descriptor table, its pointers, count of bad pages
 *   01f0  ringPages:4 writesPerTick:4 divisor:4, filled in below
 */
const PROGRAM =
  'fa31c08ed88ed0e4920c02e6920f0116587d0f20c00c010f22c0ea1f7c080066b810008ed88ec08ed0bc007c0000c7' +
  '0540100000337d0800c70544100000008e00000f011d5e7d0000b0fee621b0ffe6a1b034e643a1f87d0000e64088e0' +
  'e64031db31edfbf4458b0df47d0000e31689d8e86f000000891889daf7d28990fc0f000043e2eaf7c50700000075d8' +
  '89de2b35f07d0000730231f639de742089f0e8410000003930750c8b90fc0f0000f7d239f27406ff05647d000046eb' +
  'dcb04e89eae831000000b05789dae828000000b0428b15647d0000e81b000000b00ae83d000000eb808b3df07d0000' +
  '4f21f8c1e00c0500002000c3e824000000b03de81d000000b908000000c1c20488d0240f04303c3976020427e80400' +
  '0000e2eab020525066bafd03eca82074fb5866baf803ee5ac350b020e62058cf8db6000000000000000000000000ff' +
  'ff0000009acf00ffff00000092cf001700407d00007f000010';

const PARAMETERS_AT = 0x1f0;
const SECTOR_BYTES = 512;
const DISK_BYTES = 1024 * 1024;
/** The timer counts down from this 1 193 182 times a second: a hundred ticks. */
const DIVISOR = 11_932;

export interface CounterGuest {
  /** A power of two; the ring begins at 2 MiB and must fit into the guest's memory. */
  readonly ringPages: number;
  readonly writesPerTick: number;
}

export const QUIET_GUEST: CounterGuest = { ringPages: 2_048, writesPerTick: 4 };

/** Writes a raw disk image that boots the guest. */
export async function writeCounterDisk(path: string, guest: CounterGuest = QUIET_GUEST): Promise<void> {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.set(Buffer.from(PROGRAM, 'hex'));
  sector.writeUInt32LE(guest.ringPages, PARAMETERS_AT);
  sector.writeUInt32LE(guest.writesPerTick, PARAMETERS_AT + 4);
  sector.writeUInt32LE(DIVISOR, PARAMETERS_AT + 8);
  sector.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  const file = await open(path, 'w');
  try {
    await file.write(sector);
    await file.truncate(DISK_BYTES);
  } finally {
    await file.close();
  }
}

export interface CounterLine {
  readonly ticks: number;
  readonly writes: number;
  readonly badPages: number;
}

/** The complete lines on a console, oldest first. */
export function readCounter(console: string): CounterLine[] {
  return [...console.matchAll(/N=([0-9a-f]{8}) W=([0-9a-f]{8}) B=([0-9a-f]{8}) \n/g)].map((line) => ({
    ticks: Number.parseInt(line[1]!, 16),
    writes: Number.parseInt(line[2]!, 16),
    badPages: Number.parseInt(line[3]!, 16),
  }));
}
