export { KAFKA_VERSION } from './artifacts';
export { kafkaAvailability } from './availability';
export type { KafkaAvailability } from './availability';
export { startKafka } from './broker';
export type { RunningKafka, StartKafkaOptions } from './broker';
export { KafkaUnavailable } from './errors';
export type { KafkaUnavailableCode } from './errors';
