const { existsSync, readdirSync } = require('node:fs');
const { join } = require('node:path');

/** Every workspace package that has a Jest configuration is one project of the run. */
const folders = ['apps', 'libs', 'libs/contracts', 'tools'];
const projects = folders
  .filter((folder) => existsSync(join(__dirname, folder)))
  .flatMap((folder) => readdirSync(join(__dirname, folder)).map((name) => `${folder}/${name}`))
  .filter((path) => existsSync(join(__dirname, path, 'jest.config.cjs')))
  .map((path) => `<rootDir>/${path}`);

module.exports = { projects };
