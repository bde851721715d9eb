#!/usr/bin/env node
// Builds what changed, then runs the command line.
import { ensureBuilt } from '../../../tools/workspace/build.mjs';

ensureBuilt();
await import('../dist/main.js');
