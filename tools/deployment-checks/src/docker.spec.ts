import { mistakesInCompose } from './compose-schema';
import { parseDockerfile } from './dockerfile';
import { readYaml, repository } from './repository';

interface Compose {
  services: Record<
    string,
    {
      image: string;
      build?: { args: { SERVICE: string } };
      environment: Record<string, string>;
      networks?: string[];
      volumes?: string[];
      ports?: string[];
    }
  >;
  volumes: Record<string, unknown>;
}

const services = repository.apps('type:service');
const dockerfile = parseDockerfile(repository.read('docker', 'Dockerfile'));
const [compose] = readYaml('docker/compose.yaml') as [Compose];
const variables = new Set(
  repository.read('libs', 'service-kit', 'src', 'run-service.ts').match(/\b(?:[A-Z]+_)*[A-Z]+(?=: z\.)/g),
);

describe('the Dockerfile', () => {
  it('has a stage with the programs of every service', () => {
    expect(services.length).toBeGreaterThanOrEqual(5);
    const names = dockerfile.stages.map(({ name }) => name);
    for (const service of services) expect(names).toContain(`programs-${service}`);
  });

  it('copies from stages that come before', () => {
    const before = new Set<string>();
    for (const { name, instructions } of dockerfile.stages) {
      for (const { keyword, flags, line } of instructions)
        if (keyword === 'COPY' && flags['from'])
          expect({ line, from: before.has(flags['from']) }).toEqual({ line, from: true });
      before.add(name);
    }
  });

  it('copies from the repository only what is there, and what .dockerignore lets through', () => {
    const ignored = repository.read('.dockerignore').split('\n');
    for (const { instructions } of dockerfile.stages)
      for (const { keyword, flags, rest } of instructions) {
        if (keyword !== 'COPY' || flags['from']) continue;
        const [from = ''] = rest.split(/\s+/);
        expect(repository.exists(from)).toBe(true);
        expect(ignored).not.toContain(from.split('/')[0]);
      }
  });

  it('ends as a user without rights, with what the service kit listens on', () => {
    const last = dockerfile.stages.at(-1)?.instructions ?? [];
    const restOf = (keyword: string) => last.find((instruction) => instruction.keyword === keyword)?.rest;
    expect(restOf('USER')).toBe('10001:10001');
    expect(repository.read('libs', 'service-kit', 'src', 'run-service.ts')).toContain(
      `default(${restOf('EXPOSE')})`,
    );
    expect(restOf('VOLUME')).toBe('/var/lib/watari');
  });

  it('starts what the build lays out', () => {
    const { main } = JSON.parse(repository.read('apps', 'inventory', 'package.json')) as { main?: string };
    expect(repository.exists('apps', 'inventory', 'src', 'main.ts')).toBe(true);
    expect(main === undefined || main.startsWith('./dist/')).toBe(true);
    expect(dockerfile.stages.at(-1)?.instructions.at(-1)?.rest).toContain('service/dist/main.js');
  });

  it('is told wrong where it is wrong', () => {
    expect(() => parseDockerfile('RUN true')).toThrow('Line 1: RUN stands before the first FROM.');
    expect(() => parseDockerfile('FROM a\nRUNN b')).toThrow('Line 2: "RUNN" is no instruction.');
    expect(() => parseDockerfile('FROM a\nRUN b \\')).toThrow('Line 2: the instruction ends with a "\\".');
  });
});

describe('the compose file', () => {
  it('holds to the Compose Specification', () => {
    expect(mistakesInCompose({ ...compose })).toEqual([]);
  });

  it('would be caught with a field that does not exist', () => {
    expect(mistakesInCompose({ services: { kafka: { image: 'kafka', prots: [] } } }).join()).toContain(
      'prots',
    );
  });

  it('runs every service, each from its own build', () => {
    for (const service of services) expect(compose.services[service]?.build?.args.SERVICE).toBe(service);
    const built = Object.values(compose.services).filter(({ build }) => build);
    expect(built).toHaveLength(services.length);
  });

  it('sets variables that the services read, and all that they cannot do without', () => {
    for (const service of services) {
      const set = Object.keys(compose.services[service]?.environment ?? {});
      expect(set).toEqual(expect.arrayContaining(['DATABASE_URL', 'KAFKA_BROKERS', 'WATARI_TOKEN']));
      for (const name of set) expect(variables).toContain(name);
    }
  });

  it('opens ports on loopback alone', () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('asks for nothing that the example of its settings does not name', () => {
    const asked = repository.read('docker', 'compose.yaml').matchAll(/\$\{([A-Z_]+)/g);
    const named = repository.read('docker', 'example.env');
    for (const [, name] of asked) expect(named).toContain(`\n${name}=`);
  });

  it('names volumes that it declares', () => {
    const used = Object.values(compose.services)
      .flatMap((service) => service.volumes ?? [])
      .map((volume) => volume.split(':')[0] ?? '')
      .filter((name) => /^[a-z-]+$/.test(name));
    expect(Object.keys(compose.volumes)).toEqual(expect.arrayContaining(used));
  });
});
