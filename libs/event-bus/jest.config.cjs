module.exports = require('../../jest.preset.cjs')('event-bus', { postgres: true });
