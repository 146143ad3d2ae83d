// Begins when the page is read; every tab has been registered before.

import { startPage } from "./frame.js";

startPage(JSON.parse(document.getElementById("run").textContent));
