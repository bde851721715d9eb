import type { GuestReader } from './guest-files';
import { plain } from './operating-system';

export interface Application {
  readonly name: string;
  readonly version: string;
}

const DPKG_STATUS_BYTES_MAX = 64 * 1024 * 1024;
const APPLICATIONS_MAX = 500;

/** Packages that tell what a server is for, and what people call them. */
const NOTABLE: readonly { readonly pattern: RegExp; readonly name: string }[] = [
  { pattern: /^nginx(-(core|full|light|extras))?$/, name: 'nginx' },
  { pattern: /^apache2$/, name: 'apache2' },
  { pattern: /^lighttpd$/, name: 'lighttpd' },
  { pattern: /^haproxy$/, name: 'haproxy' },
  { pattern: /^postgresql-\d+$/, name: 'postgresql' },
  { pattern: /^(default-mysql-server|mysql-server(-\d+\.\d+)?)$/, name: 'mysql' },
  { pattern: /^mariadb-server(-\d+\.\d+)?$/, name: 'mariadb' },
  { pattern: /^redis-server$/, name: 'redis' },
  { pattern: /^mongodb(-org)?-server$/, name: 'mongodb' },
  { pattern: /^rabbitmq-server$/, name: 'rabbitmq' },
  { pattern: /^openjdk-\d+-jre(-headless)?$/, name: 'openjdk' },
  { pattern: /^tomcat\d+$/, name: 'tomcat' },
  { pattern: /^php\d\.\d-fpm$/, name: 'php-fpm' },
  { pattern: /^nodejs$/, name: 'nodejs' },
  { pattern: /^docker(\.io|-ce)$/, name: 'docker' },
  { pattern: /^samba$/, name: 'samba' },
  { pattern: /^nfs-kernel-server$/, name: 'nfs-server' },
  { pattern: /^bind9$/, name: 'bind9' },
  { pattern: /^isc-dhcp-server$/, name: 'dhcp-server' },
  { pattern: /^slapd$/, name: 'openldap' },
  { pattern: /^postfix$/, name: 'postfix' },
  { pattern: /^exim4-daemon-(light|heavy)$/, name: 'exim4' },
  { pattern: /^dovecot-core$/, name: 'dovecot' },
  { pattern: /^squid$/, name: 'squid' },
  { pattern: /^openssh-server$/, name: 'openssh-server' },
  { pattern: /^oracle-xe|^oracle-database/, name: 'oracle' },
  { pattern: /^mssql-server$/, name: 'mssql' },
];

/** What runs on the server: notable packages that are installed, and the units that its owner wrote. */
export async function readApplications(tree: GuestReader): Promise<Application[]> {
  const status = await tree.readText('/var/lib/dpkg/status', DPKG_STATUS_BYTES_MAX);
  const fromPackages = notablePackages(status ?? '');
  const known = new Set(fromPackages.map(({ name }) => name));
  const fromUnits = (await ownUnits(tree)).filter(({ name }) => !known.has(name));
  return [...fromPackages, ...fromUnits].slice(0, APPLICATIONS_MAX);
}

/** Notable ones of dpkg's status file, each name once. */
export function notablePackages(status: string): Application[] {
  const found = new Map<string, Application>();
  for (const paragraph of status.split('\n\n')) {
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}: (.{1,400})$`, 'm').exec(paragraph)?.[1];
    const packageName = field('Package');
    if (!packageName || !field('Status')?.endsWith(' installed')) continue;
    const notable = NOTABLE.find(({ pattern }) => pattern.test(packageName));
    if (notable && !found.has(notable.name))
      found.set(notable.name, { name: notable.name, version: plain(field('Version') ?? '', 200) });
  }
  return [...found.values()];
}

/** Unit files in /etc/systemd/system that are files of their own: links there belong to packages. */
async function ownUnits(tree: GuestReader): Promise<Application[]> {
  const entries = await tree.entries('/etc/systemd/system');
  return entries
    .filter(({ kind, name }) => kind === 'file' && name.endsWith('.service') && !name.includes('@'))
    .map(({ name }) => ({ name: plain(name.slice(0, -'.service'.length), 200), version: '' }))
    .filter(({ name }) => name !== '');
}
