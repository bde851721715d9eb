import { parseProbe } from '@watari/host-agent-client';
import { z } from 'zod';

/** tcp:PORT, http:PORT/PATH or console:TEXT, checked here so that a typing error does not wait for a migration. */
export const Probe = z
  .string()
  .min(1)
  .max(500)
  .check((context) => {
    try {
      parseProbe(context.value);
    } catch (error) {
      context.issues.push({ code: 'custom', input: context.value, message: (error as Error).message });
    }
  });
