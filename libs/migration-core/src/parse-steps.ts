/** What the parser waits for. */
export type Step =
  | 'file-header'
  | 'section-type'
  | 'configuration-length'
  | 'configuration'
  | 'command'
  | 'command-payload'
  | 'section-name-length'
  | 'section-start'
  | 'section-id'
  | 'word'
  | 'block-name-length'
  | 'block-name'
  | 'block-size'
  | 'page-name-length'
  | 'page-name'
  | 'page-content'
  | 'zero-fill'
  | 'xbzrle-length'
  | 'xbzrle'
  | 'footer'
  | 'pass-through';

/** Pieces of a page record are held until it is whole, the pieces of anything else are told as they come. */
export const RECORD_STEPS: ReadonlySet<Step> = new Set<Step>([
  'word',
  'page-name-length',
  'page-name',
  'page-content',
  'zero-fill',
  'xbzrle-length',
  'xbzrle',
]);
