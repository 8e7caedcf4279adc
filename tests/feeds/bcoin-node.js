// Starts the node of bcoin (npm) without its native parts: LevelDB is never opened by a node that keeps all in memory.
'use strict';
const Module = require('module');
const path = require('path');
const load = Module._load;
Module._load = function (request, ...rest) {
  return request === 'leveldown' ? {} : load.call(this, request, ...rest);
};
require(path.join(process.env.FAIRHASH_BCOIN, 'node_modules/bcoin/bin/node'));
