/** Start: read the settings, take the token, show the page. */
import { createApp } from "./vue.js";
import { readTilesUrl } from "./config.js";
import { t } from "./language.js";
import { fromFragment } from "./link.js";
import { openSession } from "./session.js";
import { state } from "./state.js";
import { openAtlas } from "./atlas.js";
import { Page } from "./ui/page.js";

try {
  const url = await readTilesUrl();
  openSession();
  fromFragment(location.hash, state);
  createApp(Page, { atlas: openAtlas(url) }).mount("#page");
} catch (error) {
  document.getElementById("page").textContent = t("config_failed");
  console.error(error);
}
