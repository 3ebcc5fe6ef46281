/** Shows that the tile server does not answer, and when the next try is. */
import { h } from "../vue.js";
import { connection, retryNow } from "../connection.js";
import { t } from "../language.js";

export const Banner = () =>
  connection.down && h("div", { class: "card banner", role: "alert" }, [
    h("strong", t("down")),
    h("span", { "aria-live": "off" }, connection.waitS > 0 ? t("down_wait", { seconds: connection.waitS }) : t("down_trying")),
    h("button", { type: "button", onClick: retryNow }, t("retry")),
  ]);
