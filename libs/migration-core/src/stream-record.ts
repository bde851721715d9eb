import type { Sections } from './tokens';

/** One step of the stream on its way between the ends; order counts. */
export type StreamRecord =
  | {
      readonly kind: 'data';
      readonly sections: Sections;
      readonly pageCount: number;
      /** Bytes of stream that it rebuilds to. */
      readonly logicalBytes: number;
      /** History that both ends began with; 0 = none. */
      readonly baseGeneration: number;
    }
  | { readonly kind: 'digest' | 'layout'; readonly payload: Uint8Array };
