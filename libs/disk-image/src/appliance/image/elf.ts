const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
const SECTION_BYTES = 64;
const SEGMENT_BYTES = 56;
const DYNAMIC_ENTRY_BYTES = 16;
const SEGMENT_INTERPRETER = 3;
const SECTION_DYNAMIC = 6;
const TAG_NEEDED = 1;

interface Section {
  readonly nameAt: number;
  readonly type: number;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly link: number;
}

/** True for a 64-bit little-endian ELF file, the kind that x86-64 runs. */
export function isElf(file: Buffer): boolean {
  return file.length >= 64 && file.subarray(0, MAGIC.length).equals(MAGIC);
}

/** What a program or library asks the dynamic loader for: other libraries by name, and the loader itself by path. */
export function readNeeded(file: Buffer): { libraries: string[]; loader?: string } {
  if (!isElf(file)) return { libraries: [] };
  const all = sections(file);
  const dynamic = all.find(({ type }) => type === SECTION_DYNAMIC);
  const strings = dynamic && all[dynamic.link];
  const libraries: string[] = [];
  if (dynamic && strings)
    for (let at = 0; at + DYNAMIC_ENTRY_BYTES <= dynamic.sizeBytes; at += DYNAMIC_ENTRY_BYTES) {
      const entry = dynamic.offset + at;
      if (Number(file.readBigUInt64LE(entry)) === TAG_NEEDED)
        libraries.push(textAt(file, strings.offset + Number(file.readBigUInt64LE(entry + 8))));
    }
  const loader = interpreterOf(file);
  return { libraries, ...(loader !== undefined && { loader }) };
}

/** The fields that a kernel module says of itself, such as `depends` and `alias`. */
export function readModuleInfo(file: Buffer): { name: string; value: string }[] {
  const content = isElf(file) ? sectionNamed(file, '.modinfo') : undefined;
  if (!content) return [];
  return content
    .toString('latin1')
    .split('\0')
    .flatMap((field) => {
      const at = field.indexOf('=');
      return at > 0 ? [{ name: field.slice(0, at), value: field.slice(at + 1) }] : [];
    });
}

function sections(file: Buffer): Section[] {
  const tableAt = Number(file.readBigUInt64LE(40));
  const count = file.readUInt16LE(60);
  return Array.from({ length: count }, (_, index) => {
    const at = tableAt + index * SECTION_BYTES;
    return {
      nameAt: file.readUInt32LE(at),
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      sizeBytes: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
    };
  });
}

function sectionNamed(file: Buffer, name: string): Buffer | undefined {
  const all = sections(file);
  const names = all[file.readUInt16LE(62)];
  if (!names) return undefined;
  const found = all.find(({ nameAt }) => textAt(file, names.offset + nameAt) === name);
  return found && file.subarray(found.offset, found.offset + found.sizeBytes);
}

function interpreterOf(file: Buffer): string | undefined {
  const tableAt = Number(file.readBigUInt64LE(32));
  const count = file.readUInt16LE(56);
  for (let index = 0; index < count; index += 1) {
    const at = tableAt + index * SEGMENT_BYTES;
    if (file.readUInt32LE(at) === SEGMENT_INTERPRETER)
      return textAt(file, Number(file.readBigUInt64LE(at + 8)));
  }
  return undefined;
}

function textAt(file: Buffer, at: number): string {
  return file.toString('latin1', at, file.indexOf(0, at));
}
