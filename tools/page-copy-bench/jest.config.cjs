module.exports = require('../../jest.preset.cjs')('page-copy-bench');
