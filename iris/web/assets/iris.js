// Without these, links and forms do the same.

import "./board.js";
import "./keys.js";
import "./live.js";
import "./past.js";
