export { startConsumer } from './consumer/consumer';
export type { Consumer, ConsumerOptions, RetryPolicy } from './consumer/consumer';
export { consumerMigration } from './consumer/consumer-schema';
export { deadLetterTopicOf, listDeadLetters, replayDeadLetters } from './consumer/dead-letters';
export type { DeadLetter } from './consumer/dead-letters';
export { createBus } from './create-bus';
export type { BusSettings } from './create-bus';
export { BusError } from './errors';
export type { BusErrorCode } from './errors';
export type {
  Batch,
  BusRecord,
  BusSubscription,
  EventBus,
  OutgoingRecord,
  PartitionEnds,
  PartitionLag,
  ReadOptions,
  SubscribeOptions,
  TopicSpec,
} from './event-bus';
export { KafkaBus } from './kafka/kafka-bus';
export type { KafkaBusOptions } from './kafka/kafka-bus';
export { RECORD_BYTES_MAX } from './limits';
export { murmur2, partitionOf } from './murmur2';
export { PostgresBus } from './postgres/postgres-bus';
export type { PostgresBusOptions } from './postgres/postgres-bus';
