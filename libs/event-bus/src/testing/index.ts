export { startKafkaProcess, whyNoKafka } from './kafka-process';
export type { KafkaProcess } from './kafka-process';
