// npm run watari -- <command>
import { ensureBuilt, root } from './build.mjs';

ensureBuilt();
process.argv[1] = `${root}apps/watari/dist/main.js`;
await import(`${root}apps/watari/dist/main.js`);
