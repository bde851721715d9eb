import { isUtf8 } from 'node:buffer';
import { type Document, type YAMLMap, isMap, isScalar, parseDocument } from 'yaml';
import type { GuestReader } from '../../guest/guest-files';
import type { Draft } from '../draft';
import { filesIn } from '../../guest/network-names';
import { type NicMentions, type NicNames, isHardwareName, normalMac } from './nic-names';

const FOLDER = '/etc/netplan';
/** Far more than netplan files have. What is nested costs the parser time by the square of its depth, and its stack. */
const YAML_BYTES_MAX = 32 * 1024;
const BRACKETS_MAX = 1000;
const NESTED_ON_LINE = /^(?:\s*[-?:]\s){8}/;
const INDENT_MAX = 64;
const FILES_MAX = 20;

interface Definition {
  readonly id: string;
  readonly settings: YAMLMap;
}

/** NICs of netplan's files: without `match`, a definition's id is the NIC's name. */
export async function readNetplan(files: GuestReader): Promise<NicMentions> {
  const names: string[] = [];
  const macs: string[] = [];
  const bindings: NicMentions['bindings'][number][] = [];
  for (const path of (await filesIn(files, FOLDER, '.yaml')).slice(0, FILES_MAX)) {
    const parsed = parse(await files.read(path, YAML_BYTES_MAX));
    for (const { id, settings } of parsed.document ? definitionsOf(parsed.document) : []) {
      const name = nameOf(id, settings);
      const mac = macOf(settings);
      if (mac !== undefined) macs.push(mac);
      if (name === undefined || !isHardwareName(name)) continue;
      names.push(name);
      if (mac !== undefined) bindings.push({ mac, name, isGivenByUdev: false });
    }
  }
  return { bindings, names, macs };
}

/**
 * netplan makes one rule for one address of `match` and `set-name`. Where the NIC's name is known the definition
 * matches by name, which udev's rules bind to both addresses; otherwise by the new address.
 */
export async function planNetplan(draft: Draft, names: NicNames): Promise<void> {
  const paths = await draft.filesIn(FOLDER, '.yaml');
  if (paths.length > FILES_MAX)
    draft.leave(FOLDER, `Only the first ${FILES_MAX} of its ${paths.length} files were looked at.`);
  for (const path of paths.slice(0, FILES_MAX)) {
    const { document, trouble } = parse(await draft.files.read(path, YAML_BYTES_MAX));
    if (!document) {
      draft.leave(path, `It is left as it is: ${trouble}. Check its NICs.`);
      continue;
    }
    const told: string[] = [];
    for (const definition of definitionsOf(document)) {
      const done = adjust(document, definition, names);
      if (done !== undefined) told.push(`${definition.id} is ${done}`);
      else if (isBySlot(definition.settings))
        draft.leave(
          path,
          `${definition.id} finds its NIC by the driver. Let it match by name on the server.`,
        );
    }
    if (told.length === 0) continue;
    const text = written(document);
    if (text === undefined)
      draft.leave(path, 'What it matches is used in another place, too. Check its NICs.');
    else await draft.write(path, Buffer.from(text), told.join(', '));
  }
}

/** Undefined where an alias leads to what is not there any more. */
function written(document: Document): string | undefined {
  try {
    return document.toString({ lineWidth: 0 });
  } catch (error) {
    if (!(error instanceof Error) || !/alias/i.test(error.message)) throw error;
    return undefined;
  }
}

/** What it is now; undefined where it stays. */
function adjust(document: Document, { id, settings }: Definition, names: NicNames): string | undefined {
  const mac = macOf(settings);
  const nic = mac === undefined ? undefined : names.nicOf(mac);
  if (!nic) return undefined;
  const name = nameOf(id, settings) ?? names.nameOf(nic.oldMac);
  if (name !== undefined && isHardwareName(name)) {
    settings.delete('set-name');
    settings.delete('match');
    if (id !== name) settings.set('match', document.createNode({ name }));
    return `for ${name}, whatever address that has`;
  }
  if (mac === nic.newMac) return undefined;
  settings.setIn(['match', 'macaddress'], nic.newMac);
  return `for the new address ${nic.newMac}`;
}

function parse(content: Buffer | undefined): { document?: Document; trouble?: string } {
  if (!content) return { trouble: `it is no plain file of at most ${YAML_BYTES_MAX} bytes` };
  if (!isUtf8(content)) return { trouble: 'it is no UTF-8' };
  const text = content.toString('utf8');
  if (isDeep(text)) return { trouble: 'it is nested too deep' };
  try {
    const document = parseDocument(text, { uniqueKeys: false, logLevel: 'silent' });
    const [error] = document.errors;
    return error ? { trouble: `it is no YAML (${error.code})` } : { document };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { trouble: 'it is nested too deep' };
  }
}

function isDeep(text: string): boolean {
  const brackets = [...text].filter((letter) => letter === '[' || letter === '{').length;
  const isDeepLine = (line: string): boolean =>
    NESTED_ON_LINE.test(line) || line.length - line.trimStart().length > INDENT_MAX;
  return brackets > BRACKETS_MAX || text.split('\n').some((line) => line.trim() !== '' && isDeepLine(line));
}

function definitionsOf(document: Document): Definition[] {
  const ethernets = document.getIn(['network', 'ethernets']);
  if (!isMap(ethernets)) return [];
  return ethernets.items.flatMap(({ key, value }) => {
    const id = isScalar(key) && typeof key.value === 'string' ? key.value : undefined;
    return id !== undefined && isMap(value) ? [{ id, settings: value }] : [];
  });
}

/** With a `match`, the name is the one that is set; without, it is the id. */
function nameOf(id: string, settings: YAMLMap): string | undefined {
  const given = settings.get('set-name');
  if (typeof given === 'string') return given;
  if (!settings.has('match')) return id;
  const wanted = settings.getIn(['match', 'name']);
  return typeof wanted === 'string' && isHardwareName(wanted) ? wanted : undefined;
}

function macOf(settings: YAMLMap): string | undefined {
  const mac = settings.has('match') ? settings.getIn(['match', 'macaddress']) : undefined;
  return typeof mac === 'string' ? normalMac(mac) : undefined;
}

function isBySlot(settings: YAMLMap): boolean {
  const match = settings.get('match');
  return isMap(match) && match.has('driver') && !match.has('name') && !match.has('macaddress');
}
