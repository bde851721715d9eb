export type PostgresErrorCode =
  | 'DATA_FOLDER_IN_USE'
  | 'DATA_FOLDER_UNUSABLE'
  | 'POSTGRES_NOT_FOUND'
  | 'POSTGRES_NEEDS_USER'
  | 'POSTGRES_START_FAILED'
  | 'POSTGRES_UNREACHABLE'
  | 'POSTGRES_VERSION_UNFIT';

/** Why there is no Postgres to work with; the message says what to do. Nothing is left running when it is thrown. */
export class PostgresUnavailable extends Error {
  constructor(
    readonly code: PostgresErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'PostgresUnavailable';
  }
}
