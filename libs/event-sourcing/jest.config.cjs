module.exports = require('../../jest.preset.cjs')('event-sourcing', { postgres: true });
