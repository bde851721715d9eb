import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { emptyMirror, PAGE_BYTES, PageLayout, type PageMirror } from '@watari/migration-core';

import { Histories, type HistoryGuest } from './histories';

const MIB = 1_048_576;
const PAGES_MAX = 4_096;

let folder: string;
let opened: Histories[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watari-histories-'));
  opened = [];
});
afterEach(async () => {
  for (const histories of opened) await histories.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(isSharedWithinTenant: boolean, bytesMax = 1e9): Promise<Histories> {
  const histories = await Histories.open(
    {
      folder: join(folder, 'histories'),
      keyPath: join(folder, 'key'),
      bytesMax,
      expiresAfterMs: 60_000,
      isSharedWithinTenant,
    },
    () => undefined,
  );
  opened.push(histories);
  return histories;
}

function guest(guestId: string, tenant: string | null, memoryMiB = 4): HistoryGuest {
  return { guestId, tenant, memoryMiB };
}

/** Memory whose first pages hold that byte. */
function mirrorOf(memoryMiB: number, byte: number): PageMirror {
  const mirror = emptyMirror(new PageLayout([{ name: 'pc.ram', bytes: memoryMiB * MIB }]), PAGES_MAX);
  for (let page = 0; page < 10; page += 1) mirror.write(page, Buffer.alloc(PAGE_BYTES, byte));
  return mirror;
}

/** Its history's name. Each is of another time. */
async function leave(histories: Histories, from: HistoryGuest, byte: number): Promise<string> {
  const historyId = byte.toString(16).padStart(2, '0').repeat(32);
  histories.keep(from, mirrorOf(from.memoryMiB, byte), historyId);
  // Its own is waited for until it is written.
  expect(await histories.find(from)).toContain(historyId);
  await sleep(2);
  return historyId;
}

describe('what guests left on a host', () => {
  it('is found by the guest that left it, whatever the host allows', async () => {
    const histories = await open(false);
    const own = await leave(histories, guest('web-1', null), 0x11);
    const tenants = await leave(histories, guest('web-2', 'shop'), 0x22);
    expect(await histories.find(guest('web-1', null))).toEqual([own]);
    expect(await histories.find(guest('web-2', 'shop'))).toEqual([tenants]);
    const held = await histories.load(guest('web-2', 'shop'), tenants, PAGES_MAX);
    expect(held?.mirror.bytesOf(3)?.every((byte) => byte === 0x22)).toBe(true);
  });

  it('stays with its guest unless the host allows more', async () => {
    const histories = await open(false);
    const left = await leave(histories, guest('web-1', 'shop'), 0x11);
    expect(await histories.find(guest('web-2', 'shop'))).toEqual([]);
    expect(await histories.load(guest('web-2', 'shop'), left, PAGES_MAX)).toBeNull();
  });

  it('is found by others of its tenant where the host allows it: its own first, then the latest', async () => {
    const histories = await open(true);
    const own = await leave(histories, guest('web-3', 'shop'), 0x33);
    const first = await leave(histories, guest('web-1', 'shop'), 0x11);
    const second = await leave(histories, guest('web-2', 'shop'), 0x22);
    expect(await histories.find(guest('web-3', 'shop'))).toEqual([own, second, first]);
    expect(await histories.find(guest('web-4', 'shop'))).toEqual([second, first, own]);
    const held = await histories.load(guest('web-4', 'shop'), first, PAGES_MAX);
    expect(held?.mirror.bytesOf(3)?.every((byte) => byte === 0x11)).toBe(true);
  });

  it.each([
    ['of another tenant', guest('web-2', 'bank')],
    ['without a tenant', guest('web-2', null)],
    ['that has come to another tenant since', guest('web-1', 'bank')],
    ['that has no tenant any more', guest('web-1', null)],
  ])('is never found, nor read, by a guest %s', async (_who, other) => {
    const histories = await open(true);
    const left = await leave(histories, guest('web-1', 'shop'), 0x11);
    expect(await histories.find(other)).toEqual([]);
    expect(await histories.load(other, left, PAGES_MAX)).toBeNull();
  });

  it('of guests without a tenant serves nobody else', async () => {
    const histories = await open(true);
    const left = await leave(histories, guest('web-1', null), 0x11);
    for (const other of [guest('web-2', null), guest('web-2', 'default')]) {
      expect(await histories.find(other)).toEqual([]);
      expect(await histories.load(other, left, PAGES_MAX)).toBeNull();
    }
  });

  it('serves a guest with less memory than the one that left it, and none with more', async () => {
    const histories = await open(true);
    const left = await leave(histories, guest('web-1', 'shop', 8), 0x11);
    expect(await histories.find(guest('web-2', 'shop', 4))).toEqual([left]);
    expect(await histories.find(guest('web-2', 'shop', 16))).toEqual([]);
  });
});
