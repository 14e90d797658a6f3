// Node's servers hang up on whoever says nothing for five seconds, and a call that is on its way then is lost.
// A vendor's does not, so that Prism may not either: it would be Prism's faults that the connectors are tried by.
const { Server } = require("node:http");

const { listen } = Server.prototype;

Server.prototype.listen = function (...where) {
  this.keepAliveTimeout = 600_000;
  return listen.apply(this, where);
};
