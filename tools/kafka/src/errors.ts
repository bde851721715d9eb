export type KafkaUnavailableCode =
  | 'DATA_FOLDER_IN_USE'
  | 'JAVA_MISSING'
  | 'JAVA_TOO_OLD'
  | 'KAFKA_DOWNLOAD_FAILED'
  | 'KAFKA_START_FAILED'
  | 'KAFKA_UNREACHABLE'
  | 'MAVEN_MISSING';

/** There is no broker to work with; the message says why, `remedy` what to do. */
export class KafkaUnavailable extends Error {
  constructor(
    readonly code: KafkaUnavailableCode,
    reason: string,
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    super(`${reason} ${remedy}`, options);
    this.name = 'KafkaUnavailable';
  }
}
