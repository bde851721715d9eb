import { mistakesInManifests } from './kubernetes-types-check';
import { type Manifest, readManifests, readYaml, repository } from './repository';

interface Container {
  image: string;
  env: { name: string }[];
  envFrom: { configMapRef: { name: string } }[];
  ports: { name: string; containerPort: number }[];
  volumeMounts: { name: string; mountPath: string }[];
  securityContext: { readOnlyRootFilesystem: boolean };
  livenessProbe: { httpGet: { path: string } };
  readinessProbe: { httpGet: { path: string } };
}
interface Workload extends Manifest {
  spec: {
    replicas: number;
    selector: { matchLabels: Record<string, string> };
    template: {
      metadata: { labels: Record<string, string> };
      spec: { containers: [Container]; volumes: { name: string }[] };
    };
  };
}

const services = repository.apps('type:service');
const manifests = readManifests('k8s/base');
const deployments = manifests.filter(({ kind }) => kind === 'Deployment') as unknown as Workload[];
const [kustomization] = readYaml('k8s/base/kustomization.yaml') as [
  { resources: string[]; namespace: string },
];

describe('the manifests', () => {
  it('hold to the types of the Kubernetes API, down to the last field', () => {
    expect(mistakesInManifests(manifests)).toEqual([]);
  }, 60_000);

  it('would be caught with a field that does not exist, or one of the wrong type', () => {
    const wrong = structuredClone(deployments[0]) as unknown as { spec: Record<string, unknown> };
    wrong.spec['replicas'] = 'two';
    wrong.spec['replica'] = 2;
    const mistakes = mistakesInManifests([wrong as unknown as Manifest]).join();
    expect(mistakes).toMatch(/replica|string/);
  }, 60_000);

  it('are all named by the kustomization, once', () => {
    const files = repository.list('k8s', 'base').filter((name) => name !== 'kustomization.yaml');
    expect([...kustomization.resources].sort()).toEqual(files);
  });

  it('have one Deployment and one Service for every service', () => {
    expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual(services);
    const named = manifests.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name);
    expect(named.sort()).toEqual(services);
  });

  it('select the pods that they make', () => {
    for (const { spec } of deployments)
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
  });

  it('mount volumes that they declare, and let nothing write into the image', () => {
    for (const { spec } of deployments) {
      const [container] = spec.template.spec.containers;
      const declared = spec.template.spec.volumes.map(({ name }) => name);
      expect(declared).toEqual(expect.arrayContaining(container.volumeMounts.map(({ name }) => name)));
      expect(container.securityContext.readOnlyRootFilesystem).toBe(true);
    }
  });

  it('set variables that the services read, and all that they cannot do without', () => {
    const code =
      repository.read('libs', 'service-kit', 'src', 'run-service.ts') +
      repository.read('libs', 'service-kit', 'src', 'logging.ts');
    const [settings] = manifests.filter(({ kind }) => kind === 'ConfigMap') as unknown as [
      { data: Record<string, string> },
    ];
    for (const { spec } of deployments) {
      const names = [
        ...Object.keys(settings.data),
        ...spec.template.spec.containers[0].env.map(({ name }) => name),
      ];
      expect(names).toEqual(expect.arrayContaining(['DATABASE_URL', 'KAFKA_BROKERS', 'WATARI_TOKEN']));
      for (const name of names) expect(code).toContain(name);
    }
  });

  it('probe paths that the services answer', () => {
    const answered = [...repository.sources('libs', 'service-kit', 'src').values()].join('\n');
    for (const { spec } of deployments) {
      const { livenessProbe, readinessProbe, ports } = spec.template.spec.containers[0];
      for (const { httpGet } of [livenessProbe, readinessProbe]) {
        const [, controller = '', path = ''] = httpGet.path.split('/');
        expect(answered).toContain(`'${controller}'`);
        expect(answered).toContain(`'${path}'`);
      }
      expect(ports).toEqual([{ name: 'http', containerPort: 8080 }]);
    }
  });
});

describe('the example overlay', () => {
  const [overlay] = readYaml('k8s/overlays/example/kustomization.yaml') as [
    { images: { name: string }[]; patches: { path: string }[] },
  ];

  it('names every image of the base', () => {
    const images = deployments.map(({ spec }) => spec.template.spec.containers[0].image.split(':')[0]);
    expect(overlay.images.map(({ name }) => name).sort()).toEqual(images.sort());
  });

  it('patches what the base has, with files that are there', () => {
    const known = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const patches = readManifests('k8s/overlays/example');
    expect(overlay.patches.map(({ path }) => path).sort()).toEqual(
      [...new Set(patches.map(({ file }) => file))].sort(),
    );
    for (const { kind, metadata } of patches) expect(known).toContain(`${kind} ${metadata.name}`);
  });
});
