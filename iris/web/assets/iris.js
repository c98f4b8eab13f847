// What pages do by script; by links and forms they do the same without.

import "./board.js";
import "./keys.js";
import "./live.js";
import "./past.js";
