// npm run kafka: a real Kafka broker on loopback until Ctrl-C.
import { ensureBuilt, root } from './build.mjs';

ensureBuilt();
process.argv[1] = `${root}tools/kafka/dist/main.js`;
await import(`${root}tools/kafka/dist/main.js`);
