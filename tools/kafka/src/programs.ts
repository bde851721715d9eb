import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { runProgram } from '@watari/host-tools';
import { KafkaUnavailable } from './errors';

/** What Kafka 4 asks for. */
const JAVA_MAJOR_MIN = 17;
const INSTALL_JAVA = 'Install one, such as with: apt-get install openjdk-17-jre-headless';
const INSTALL_MAVEN = 'Install it, such as with: apt-get install maven';

/** The Java program of JAVA_HOME or PATH. Throws KafkaUnavailable when there is none that Kafka takes. */
export async function findJava(env: NodeJS.ProcessEnv): Promise<string> {
  const java = await findProgram('java', env, env['JAVA_HOME']);
  if (!java)
    throw new KafkaUnavailable(
      'JAVA_MISSING',
      'Kafka needs Java, and there is no java program.',
      INSTALL_JAVA,
    );
  const { stdout, stderr } = await runProgram(java, ['-version']);
  const version = /version "(?:1\.)?(\d+)/.exec(`${stderr}${stdout.toString()}`)?.[1];
  if (Number(version ?? 0) < JAVA_MAJOR_MIN) {
    throw new KafkaUnavailable(
      'JAVA_TOO_OLD',
      `Kafka needs Java ${JAVA_MAJOR_MIN} or newer; ${java} is Java ${version ?? 'of an unknown version'}.`,
      `${INSTALL_JAVA}, and let JAVA_HOME point to it.`,
    );
  }
  return java;
}

/** The Maven program of MAVEN_HOME or PATH. Throws KafkaUnavailable when there is none. */
export async function findMaven(env: NodeJS.ProcessEnv): Promise<string> {
  const maven = await findProgram('mvn', env, env['MAVEN_HOME']);
  if (maven) return maven;
  throw new KafkaUnavailable(
    'MAVEN_MISSING',
    'Kafka is fetched by Maven, and there is no mvn program.',
    INSTALL_MAVEN,
  );
}

async function findProgram(name: string, env: NodeJS.ProcessEnv, home?: string): Promise<string | undefined> {
  const folders = [...(home ? [join(home, 'bin')] : []), ...(env['PATH'] ?? '').split(delimiter)];
  for (const folder of folders.filter((each) => each !== '')) {
    const path = join(folder, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
