import { access, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultCacheDir, runProgram } from '@watari/host-tools';
import { KafkaUnavailable } from './errors';
import { findMaven } from './programs';

export const KAFKA_VERSION = '4.1.1';

const ARTIFACTS = [
  ['org.apache.kafka', 'kafka_2.13', KAFKA_VERSION],
  ['org.apache.kafka', 'kafka-tools', KAFKA_VERSION],
  // So that the broker's log is written at all; of the same line as the slf4j-api that Kafka brings.
  ['org.slf4j', 'slf4j-simple', '1.7.36'],
] as const;
const DOWNLOAD_MS = 10 * 60_000;
const JARS_MIN = 50;
const ERROR_LINES_MAX = 3;
const ERROR_LETTERS_MAX = 1000;

export interface ArtifactOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress?: (step: string) => void;
  readonly signal?: AbortSignal;
}

function libsFolder(env: NodeJS.ProcessEnv): string {
  return join(defaultCacheDir(env), 'kafka', KAFKA_VERSION, 'libs');
}

export async function hasKafkaJars(env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    // The folder gets its name once it is complete.
    await access(libsFolder(env));
    return true;
  } catch {
    return false;
  }
}

/**
 * The folder with Kafka's jars, fetched by the user's own Maven with their settings and mirrors when the cache
 * lacks them (about 55 MB). Throws KafkaUnavailable; the cache is as before then.
 */
export async function ensureKafkaJars({ env, onProgress, signal }: ArtifactOptions): Promise<string> {
  const libs = libsFolder(env);
  if (await hasKafkaJars(env)) return libs;
  const maven = await findMaven(env);
  onProgress?.(`fetching Apache Kafka ${KAFKA_VERSION} with Maven`);
  const parent = join(libs, '..');
  await mkdir(parent, { recursive: true });
  const draft = await mkdtemp(join(parent, 'fetching-'));
  try {
    await writeFile(join(draft, 'pom.xml'), pom());
    await fetchInto(maven, draft, signal);
    const jars = await readdir(join(draft, 'libs'));
    if (jars.length < JARS_MIN) {
      throw new KafkaUnavailable(
        'KAFKA_DOWNLOAD_FAILED',
        `Maven brought ${jars.length} jars where Kafka has more than ${JARS_MIN}.`,
        'Look at the mirrors in your Maven settings, then try again.',
      );
    }
    await rename(join(draft, 'libs'), libs).catch(async (error: unknown) => {
      // Another process was quicker; its folder is as good.
      if (!(await hasKafkaJars(env))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return libs;
}

async function fetchInto(maven: string, draft: string, signal: AbortSignal | undefined): Promise<void> {
  // Maven tells of errors on standard output, so it is given a file to write to.
  const log = join(draft, 'maven.log');
  try {
    await runProgram(
      maven,
      [
        ...['-B', '-ntp', '-l', log, '-f', join(draft, 'pom.xml')],
        'dependency:copy-dependencies',
        `-DoutputDirectory=${join(draft, 'libs')}`,
      ],
      { cwd: draft, timeoutMs: DOWNLOAD_MS, ...(signal && { signal }) },
    );
  } catch (error) {
    signal?.throwIfAborted();
    const told = await errorsIn(log);
    throw new KafkaUnavailable(
      'KAFKA_DOWNLOAD_FAILED',
      `Maven could not fetch Apache Kafka ${KAFKA_VERSION}: ${told || (error as Error).message}`,
      'Check that Maven reaches a repository (its settings.xml names mirrors and proxies), then try again.',
      { cause: error },
    );
  }
}

async function errorsIn(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  const errors = text.split('\n').filter((line) => line.startsWith('[ERROR]'));
  return errors.slice(0, ERROR_LINES_MAX).join(' ').slice(0, ERROR_LETTERS_MAX);
}

function pom(): string {
  const dependencies = ARTIFACTS.map(
    ([group, artifact, version]) =>
      `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`,
  );
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0">',
    '  <modelVersion>4.0.0</modelVersion>',
    '  <groupId>watari</groupId><artifactId>kafka-dev</artifactId><version>1</version><packaging>pom</packaging>',
    '  <dependencies>',
    ...dependencies,
    '  </dependencies>',
    '</project>',
    '',
  ].join('\n');
}
