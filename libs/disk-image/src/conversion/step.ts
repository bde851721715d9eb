import type { HostTools } from '@watari/host-tools';
import type { DeviceNames } from '../guest/device-names';
import type { EditableGuest } from './editable-guest';

/** A NIC's address on the physical server, and on the target. Mostly the same. */
export interface NicMapping {
  readonly oldMac: string;
  readonly newMac: string;
}

export interface StepContext {
  readonly guest: EditableGuest;
  readonly devices: DeviceNames;
  readonly nics: readonly NicMapping[];
  readonly tools: HostTools;
  readonly signal?: AbortSignal;
}

/** One adjustment of a guest. */
export interface ConversionStep {
  readonly name: string;
  /** Does it, and says what it did; undefined where there was nothing to do. */
  run(context: StepContext): Promise<string | undefined>;
}
