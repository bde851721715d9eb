import { hasKafkaJars } from './artifacts';
import { KafkaUnavailable, type KafkaUnavailableCode } from './errors';
import { findJava, findMaven } from './programs';

export type KafkaAvailability =
  | { readonly isAvailable: true; readonly origin: 'env' | 'own' }
  | {
      readonly isAvailable: false;
      readonly code: KafkaUnavailableCode;
      readonly reason: string;
      readonly remedy: string;
    };

/** Whether `startKafka` has what it needs; when not, why not and what to do. Starts and fetches nothing. */
export async function kafkaAvailability(env: NodeJS.ProcessEnv = process.env): Promise<KafkaAvailability> {
  if (env['KAFKA_BROKERS']) return { isAvailable: true, origin: 'env' };
  try {
    await findJava(env);
    if (!(await hasKafkaJars(env))) await findMaven(env);
    return { isAvailable: true, origin: 'own' };
  } catch (error) {
    if (!(error instanceof KafkaUnavailable)) throw error;
    const { code, remedy, message } = error;
    return { isAvailable: false, code, remedy, reason: message.slice(0, -remedy.length).trim() };
  }
}
