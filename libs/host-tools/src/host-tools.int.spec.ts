import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootFails, probeAccelerator } from './accelerator';
import { examine } from './examine';
import { createHostTools, ensureHostTools, qemuDataDirs } from './host-tools';
import { aptConfiguration, readRelease, setFolder } from './package-cache';
import { runProgram } from './run-program';

jest.setTimeout(300_000);

describe('a program', () => {
  const node = process.execPath;

  it('gets its arguments as they are, whatever a shell would make of them', async () => {
    const { stdout } = await runProgram(node, [
      '-e',
      'console.log(process.argv[1])',
      '$(id); `id` "quoted" *',
    ]);
    expect(stdout.toString()).toBe('$(id); `id` "quoted" *\n');
  });

  it('gets standard input', async () => {
    const { stdout } = await runProgram(node, ['-e', 'process.stdin.pipe(process.stdout)'], {
      stdin: 'passed on',
    });
    expect(stdout.toString()).toBe('passed on');
  });

  it('that fails is told with its status and its last words', async () => {
    const failing = runProgram(node, ['-e', 'console.error("no such thing"); process.exit(3)']);
    await expect(failing).rejects.toMatchObject({ code: 'HOST_TOOL_FAILED', exitCode: 3 });
    await expect(failing).rejects.toThrow('no such thing');
  });

  it('may end by a status that the caller expects', async () => {
    expect((await runProgram(node, ['-e', 'process.exit(3)'], { okStatuses: [0, 3] })).status).toBe(3);
  });

  it('that says too much is ended', async () => {
    const talking = runProgram(node, ['-e', 'for (;;) console.log("x".repeat(1000))'], {
      stdoutBytesMax: 10_000,
    });
    await expect(talking).rejects.toMatchObject({ code: 'HOST_TOOL_OUTPUT_TOO_LARGE' });
  });

  it('that takes too long is ended', async () => {
    const waiting = runProgram(node, ['-e', 'setTimeout(() => {}, 60_000)'], { timeoutMs: 200 });
    await expect(waiting).rejects.toMatchObject({ code: 'HOST_TOOL_TIMED_OUT', canRetry: true });
  });

  it('is ended when the caller gives up', async () => {
    const caller = new AbortController();
    const waiting = runProgram(node, ['-e', 'setTimeout(() => {}, 60_000)'], { signal: caller.signal });
    caller.abort(new Error('given up'));
    await expect(waiting).rejects.toThrow('given up');
  });

  it('that is not there is told by name', async () => {
    await expect(runProgram('/nowhere/at-all', [])).rejects.toMatchObject({ code: 'HOST_TOOL_MISSING' });
  });
});

describe('our own apt', () => {
  let folder: string;
  beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'watari-apt-'))));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const dump = async (...files: string[]): Promise<string> => {
    const { stdout } = await runProgram('/usr/bin/apt-config', [
      'dump',
      ...files.flatMap((file) => ['--config-file', file]),
    ]);
    return stdout.toString();
  };

  it('runs none of the hooks that the system sets, and keeps its proxies', async () => {
    const systems = join(folder, 'system.conf');
    await writeFile(
      systems,
      'APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n' +
        'DPkg::Post-Invoke { "reboot"; };\nAcquire::http::Proxy "http://proxy.example:3128";\n',
    );
    const ours = join(folder, 'apt.conf');
    await writeFile(ours, aptConfiguration(folder));
    expect(await dump(systems)).toContain('Post-Invoke:: "reboot"');
    const both = await dump(systems, ours);
    expect(both).not.toMatch(/Invoke\S* "[^"]/);
    expect(both).toContain('Acquire::http::Proxy "http://proxy.example:3128"');
    expect(both).toContain(`Dir::State::lists "${join(folder, 'lists')}"`);
  });

  it('cannot live in a folder that its configuration cannot name', () => {
    expect(() => aptConfiguration('/tmp/a"; Dir "x')).toThrow('cannot be told');
  });
});

describe('host tools', () => {
  it('say what to do when a program is nowhere', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'watari-no-tools-'));
    try {
      const { codename } = await readRelease();
      const hidden = setFolder(empty, 'image-building', codename);
      const resolving = createHostTools({ cacheDir: empty }).resolve('mmdebstrap');
      // Where the system has it, the cache is not asked.
      const outcome = await resolving.catch((error: unknown) => error);
      if (outcome instanceof Error)
        expect(outcome.message).toMatch(/watari doctor --fetch.*apt-get install/s);
      else expect(outcome).toMatchObject({ origin: 'system' });
      // A program of the cache is found without another fetch.
      await mkdir(join(hidden, 'root/usr/bin'), { recursive: true });
      await writeFile(join(hidden, 'root/usr/bin/mmdebstrap'), '#!/bin/sh\necho found\n');
      await chmod(join(hidden, 'root/usr/bin/mmdebstrap'), 0o755);
      const found = await createHostTools({ cacheDir: empty }).run('mmdebstrap', []);
      expect(found.status).toBe(0);
    } finally {
      await rm(empty, { recursive: true, force: true });
    }
  });

  it('bring a QEMU that is new enough, and one probe guest boots under software emulation', async () => {
    await ensureHostTools(['qemu-system-x86_64', 'qemu-img']);
    const tools = createHostTools();
    const { version, origin } = await tools.resolve('qemu-system-x86_64');
    expect(Number(version?.split('.')[0])).toBeGreaterThanOrEqual(9);
    if (origin === 'cache') expect((await qemuDataDirs(tools)).length).toBeGreaterThan(0);
    expect(await bootFails(tools, 'tcg')).toBeUndefined();
  });

  it('believe in KVM only after a probe guest booted', async () => {
    const tools = createHostTools();
    const { accelerator, reason } = await probeAccelerator(tools);
    const boots = (await bootFails(tools, 'kvm')) === undefined;
    expect(accelerator).toBe(boots ? 'kvm' : 'tcg');
    expect(reason).not.toBe('');
  });

  it('leave no half-made folder behind when fetching fails', async () => {
    const cacheDir = await mkdtemp(join(tmpdir(), 'watari-fetch-'));
    const caller = new AbortController();
    try {
      const fetching = ensureHostTools(['grub-i386-pc', 'mmdebstrap'], {
        cacheDir,
        signal: caller.signal,
        onProgress: (step) => {
          if (step.startsWith('asking')) caller.abort(new Error('given up'));
        },
      });
      const outcome = await fetching.then(
        () => 'nothing was missing',
        (error: unknown) => (error as Error).message,
      );
      expect(['given up', 'nothing was missing']).toContain(outcome);
      const left = await readdir(join(cacheDir, 'tools')).catch(() => []);
      expect(left.filter((name) => name.endsWith('.partial') || name === 'owner.json')).toEqual([]);
    } finally {
      await rm(cacheDir, { recursive: true, force: true });
    }
  });

  it('find out what this machine can do', async () => {
    const findings = await examine();
    const byId = new Map(findings.map((finding) => [finding.id, finding]));
    expect(byId.get('node')?.level).toBe('ok');
    expect(byId.get('qemu-system-x86_64')).toMatchObject({ level: 'ok' });
    for (const { level, remedy } of findings) if (level !== 'ok') expect(remedy).toBeTruthy();
  });
});
