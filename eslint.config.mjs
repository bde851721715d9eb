import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** `domain/` decides from values alone: a clock, a socket or a framework in it could not be replayed. */
const impure = {
  'no-restricted-imports': [
    'error',
    {
      patterns: [
        {
          group: ['node:*', '@nestjs/*', 'kafkajs', 'pg', 'typeorm', 'fs', 'crypto'],
          message: 'domain/ is pure: pass values in.',
        },
        {
          group: ['**/inbound/**', '**/outbound/**', '@watari/service-kit', '@watari/event-bus'],
          message: 'domain/ knows no adapter.',
        },
      ],
    },
  ],
  'no-restricted-globals': [
    'error',
    'process',
    'setTimeout',
    'setInterval',
    'setImmediate',
    'fetch',
    'performance',
    'Buffer',
  ],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: 'Time travels in the command.' },
    { object: 'Math', property: 'random', message: 'Chance travels in the command.' },
  ],
  'no-restricted-syntax': [
    'error',
    {
      selector: "NewExpression[callee.name='Date'][arguments.length=0]",
      message: 'Time travels in the command.',
    },
  ],
};

export default [
  // AssemblyScript reads like TypeScript, but its numbers have 64 bits.
  { ignores: ['**/dist', '**/out-tsc', '**/coverage', '**/.nx', '**/node_modules', '**/assembly/*.ts'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: true,
          allow: ['^.*/eslint(\\.base)?\\.config\\.[cm]?[jt]s$'],
          depConstraints: [
            {
              sourceTag: 'type:service',
              onlyDependOnLibsWithTags: ['type:contracts', 'type:kit', 'type:core'],
            },
            {
              sourceTag: 'type:agent',
              onlyDependOnLibsWithTags: ['type:contracts', 'type:kit', 'type:core'],
            },
            {
              sourceTag: 'type:cli',
              onlyDependOnLibsWithTags: [
                'type:service',
                'type:agent',
                'type:contracts',
                'type:kit',
                'type:core',
                'type:tool',
              ],
            },
            { sourceTag: 'type:kit', onlyDependOnLibsWithTags: ['type:kit', 'type:contracts', 'type:core'] },
            { sourceTag: 'type:contracts', onlyDependOnLibsWithTags: ['scope:contracts-base'] },
            {
              sourceTag: 'type:core',
              onlyDependOnLibsWithTags: ['type:core'],
              bannedExternalImports: ['@nestjs/*', 'kafkajs', 'pg', 'typeorm', 'express'],
            },
            { sourceTag: 'type:tool', onlyDependOnLibsWithTags: ['*'] },
          ],
        },
      ],
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-empty': ['error', { allowEmptyCatch: false }],
      eqeqeq: ['error', 'always'],
    },
  },
  {
    files: ['**/*.ts'],
    ignores: ['**/*.spec.ts', '**/*.bench.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
    },
  },
  { files: ['**/domain/**/*.ts'], ignores: ['**/*.spec.ts'], rules: impure },
  {
    files: ['**/*.cjs', '**/*.mjs'],
    languageOptions: {
      globals: {
        require: 'readonly',
        module: 'writable',
        process: 'readonly',
        console: 'readonly',
        __dirname: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        URL: 'readonly',
        AbortController: 'readonly',
        AbortSignal: 'readonly',
        fetch: 'readonly',
      },
    },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  prettier,
];
