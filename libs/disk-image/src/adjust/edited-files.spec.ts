import { Draft } from './draft';
import { EditedFiles } from './edited-files';
import { applyEdits, summaryOf } from './plan-adjustments';
import { MemoryGuest } from './testing/memory-guest';

describe('files as they will be', () => {
  it('show edits through links, and new folders, and leave the guest alone', async () => {
    const guest = new MemoryGuest({ '/lib': { link: 'usr/lib' }, '/usr/lib/a': 'old' });
    const before = guest.snapshot();
    const files = new EditedFiles(guest);
    await files.put({ path: '/lib/a', kind: 'write', content: Buffer.from('new') });
    await files.put({ path: '/lib/b/c', kind: 'write', content: Buffer.from('made') });
    expect(await files.readText('/usr/lib/a')).toBe('new');
    expect(await files.names('/lib')).toEqual(['a', 'b']);
    expect((await files.find('/lib/b'))?.entry.kind).toBe('directory');
    expect((await files.find('/usr/lib/b/c'))?.path).toBe('/usr/lib/b/c');
    expect([[...files.edited.keys()], [...files.created]]).toEqual([
      ['/usr/lib/a', '/usr/lib/b/c'],
      ['/usr/lib/b/c'],
    ]);
    expect(guest.snapshot()).toEqual(before);
  });

  it('have appended bytes on a multiple of four', async () => {
    const files = new EditedFiles(new MemoryGuest({ '/a': '12345' }));
    await files.put({ path: '/a', kind: 'append', content: Buffer.from('678') });
    expect((await files.read('/a'))?.toString('latin1')).toBe('12345\0\0\x00678');
  });

  it('keep to the size that is asked for', async () => {
    const files = new EditedFiles(new MemoryGuest({}));
    await files.put({ path: '/a', kind: 'write', content: Buffer.alloc(10) });
    expect(await files.read('/a', 9)).toBeUndefined();
    expect((await files.read('/a', 10))?.length).toBe(10);
  });
});

describe('a draft', () => {
  it('gives bytes back that are no text here', async () => {
    const bytes = Buffer.from([0x23, 0xe4, 0xff, 0x0a, 0x61, 0x0a]);
    const draft = new Draft(new MemoryGuest({ '/a': bytes }));
    await draft.edit('/a', (text) => text.replace('a', 'b'), 'why');
    expect(draft.plan().edits[0]?.content).toEqual(Buffer.from([0x23, 0xe4, 0xff, 0x0a, 0x62, 0x0a]));
  });

  it('plans one edit a file, with all reasons, and none that changes nothing', async () => {
    const draft = new Draft(new MemoryGuest({ '/a': 'x', '/b': 'x' }));
    await draft.edit('/a', () => 'y', 'one.');
    await draft.edit('/a', () => 'z', 'two.');
    await draft.edit('/b', (text) => text, 'three.');
    await draft.edit('/none', () => 'z', 'four.');
    expect(draft.plan().edits.map(({ path, reason, content }) => [path, reason, content.toString()])).toEqual(
      [['/a', 'one. two.', 'z']],
    );
  });

  it.each([
    ['a folder', { '/etc/x/y': '' }, '/etc/x', 'no plain file'],
    ['a file for a folder', { '/etc': 'x' }, '/etc/a/b', '/etc is no folder'],
    ['a link that leads nowhere', { '/etc/x': { link: '/dev/null' } }, '/etc/x', 'leads nowhere'],
    ['a folder that is such a link', { '/etc/d': { link: '/none' } }, '/etc/d/a', '/etc/d is a link'],
    ['links in a circle', { '/a': { link: 'b' }, '/b': { link: 'a' } }, '/a', 'leads nowhere'],
  ])('leaves %s', async (_name, tree, path, why) => {
    const draft = new Draft(new MemoryGuest(tree));
    expect(await draft.write(path, 'text', 'why')).toBe(false);
    expect(draft.plan()).toMatchObject({ edits: [], leftUndone: [{ subject: path }] });
    expect(draft.plan().leftUndone[0]?.reason).toContain(why);
  });

  it('leaves a file whose name cannot be written, and writes it where it can', async () => {
    const path = '/etc/NetworkManager/system-connections/Wired connection 1.nmconnection';
    const draft = new Draft(new MemoryGuest({ [path]: 'x' }));
    expect(await draft.filesIn('/etc/NetworkManager/system-connections')).toEqual([path]);
    expect(await draft.write(path, 'y', 'why')).toBe(false);
    expect(draft.plan().leftUndone[0]?.reason).toContain('name cannot be written');
    const files = new EditedFiles(new MemoryGuest({ [path]: 'x' }), () => true);
    expect(await new Draft(files).write(path, 'y', 'why')).toBe(true);
  });

  it('looks at a bounded number of files, and says so', async () => {
    const tree = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`/d/${index}.conf`, '']));
    const draft = new Draft(new MemoryGuest(tree));
    expect(await draft.filesIn('/d', '.conf')).toHaveLength(200);
    expect(draft.plan().leftUndone[0]?.reason).toContain('first 200 of its 600');
  });

  it("shows no control characters of a guest's", () => {
    const draft = new Draft(new MemoryGuest({}));
    draft.leave('a\u001b[2Jb', `c\n${'d'.repeat(9000)}`);
    const [told] = draft.plan().leftUndone;
    expect(told?.subject).toBe('a [2Jb');
    expect(told?.reason.length).toBeLessThanOrEqual(500);
  });
});

describe('carrying edits out', () => {
  it('refuses what is no path', async () => {
    const sink = { write: () => Promise.resolve(true), append: () => Promise.resolve() };
    const edit = { path: 'etc/fstab', kind: 'write' as const, content: Buffer.alloc(0), reason: '' };
    await expect(applyEdits([edit], sink)).rejects.toMatchObject({ code: 'DISK_FILE_UNSUPPORTED' });
  });

  it('sums up what was done and what not, by reasons', () => {
    const edit = (path: string, reason: string) => ({
      path,
      kind: 'write' as const,
      content: Buffer.alloc(0),
      reason,
    });
    const edits = [edit('/a', 'changed'), edit('/b', 'new'), edit('/c', 'changed')];
    expect(summaryOf({ edits, leftUndone: [{ subject: 'd', reason: 'why' }] })).toBe(
      '/a, /c: changed; /b: new Not done: d: why',
    );
    expect(summaryOf({ edits: [], leftUndone: [] })).toBeUndefined();
    const long = Array.from({ length: 500 }, (_, index) => edit(`/path-${index}`, `reason ${index}`));
    expect(summaryOf({ edits: long, leftUndone: [{ subject: 'd', reason: 'why' }] })).toMatch(
      /Not done: d: why$/,
    );
  });
});
