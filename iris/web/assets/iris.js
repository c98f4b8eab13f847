// All that the pages do by script. Without it they do the same by links and forms.

import "./board.js";
import "./keys.js";
import "./live.js";
import "./past.js";
