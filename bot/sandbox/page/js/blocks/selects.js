// Drop-down lists: of given options, of people and channels, and of options requested from the app.

import { h, icon } from "../dom.js";
import { SuggestionList } from "../popover.js";
import { plain } from "../text/plain.js";
import { channelLabel, nameOf, world } from "../world.js";
import { perform } from "./controls.js";

const TYPING_MS = 150;

const people = () => [...world.users.values()].filter((user) => !user.is_bot).map((user) => [user.id, nameOf(user.id)]);
const channels = () => [...world.channels.values()].filter((channel) => !channel.is_archived);

// Types of lists: the key of the answer, and the [value, label] pairs to choose from.
const KINDS = {
  users: { key: "user", initial: "initial_user", list: people },
  channels: { key: "channel", initial: "initial_channel", list: () => channels().filter((c) => !c.is_im).map((c) => [c.id, channelLabel(c)]) },
  conversations: { key: "conversation", initial: "initial_conversation", list: (element) => conversations(element.filter) },
};

function conversations(filter) {
  const kindOf = (channel) => (channel.is_im ? "im" : channel.is_private ? "private" : "public");
  const wanted = (channel) => !filter?.include || filter.include.includes(kindOf(channel));
  const visible = (channel) => channel.is_member !== false && !(filter?.exclude_external_shared_channels && channel.is_ext_shared);
  return channels().filter((channel) => wanted(channel) && visible(channel)).map((channel) => [channel.id, channelLabel(channel)]);
}

const kindOf = (element) => KINDS[element.type.replace(/^multi_|_select$/g, "").replace(/_select$/, "")];
const allOptions = (element) => element.options ?? (element.option_groups ?? []).flatMap((group) => group.options);

// The form of Slack's answer for a chosen value.
function stateOf(element, value) {
  const kind = kindOf(element);
  if (kind) return { type: element.type, [`selected_${kind.key}`]: value || null };
  const option = allOptions(element).find((one) => one.value === value) ?? null;
  return { type: element.type, selected_option: option };
}

const valueOf = (element, state) => {
  const kind = kindOf(element);
  return (kind ? state?.[`selected_${kind.key}`] : state?.selected_option?.value) ?? "";
};

function initialState(element, surface) {
  const kind = kindOf(element);
  if (!kind) return { type: element.type, selected_option: element.initial_option ?? null };
  const own = element.default_to_current_conversation ? surface.currentChannel?.() : null;
  return { type: element.type, [`selected_${kind.key}`]: element[kind.initial] ?? own ?? null };
}

export function listSelect(element, block, surface, label) {
  const kind = kindOf(element);
  const initialOrSaved = surface.form.get(block.block_id, element.action_id) ?? initialState(element, surface);
  surface.form.set(block.block_id, element.action_id, initialOrSaved);
  const option = (value, words) => h("option", { value }, words);
  const placeholder = plain(element.placeholder) || "Choose an option";
  const choices = kind
    ? kind.list(element).map(([value, words]) => option(value, words))
    : element.option_groups
      ? element.option_groups.map((group) => h("optgroup", { label: plain(group.label) }, group.options.map((one) => option(one.value, plain(one.text)))))
      : element.options.map((one) => option(one.value, plain(one.text)));
  const isOptional = block.type !== "input" || block.optional;
  const select = h("select", { "aria-label": label ?? placeholder }, h("option", { value: "", disabled: !isOptional }, placeholder), choices);
  select.value = valueOf(element, initialOrSaved);
  if (select.selectedIndex < 0) select.value = "";
  const box = h("span", { class: "select" }, select, icon("chevron"));
  const detail = described(element, select);
  select.addEventListener("change", async () => {
    const earlier = surface.form.get(block.block_id, element.action_id);
    const state = stateOf(element, select.value);
    surface.form.set(block.block_id, element.action_id, state);
    detail?.update();
    const dispatchesAction = block.type !== "input" || block.dispatch_action;
    if (!dispatchesAction || !select.value) return;
    const done = await perform(element, block, surface, state, select.selectedOptions[0].text, select);
    if (done) return;
    surface.form.set(block.block_id, element.action_id, earlier);
    select.value = valueOf(element, earlier);
  });
  return detail ? h("div", null, box, detail.element) : box;
}

// A browser's list has no second line: the description of the chosen option is shown below it.
function described(element, select) {
  if (!allOptions(element).some((option) => option.description)) return null;
  const line = h("p", { class: "input-hint" });
  const update = () => {
    const chosen = allOptions(element).find((option) => option.value === select.value);
    line.textContent = chosen?.description ? plain(chosen.description) : "";
    line.hidden = !line.textContent;
  };
  update();
  return { element: line, update };
}

export function multiSelect(element, block, surface, label) {
  const kind = kindOf(element);
  const key = kind ? `selected_${kind.key}s` : "selected_options";
  const choices = kind ? kind.list(element) : allOptions(element).map((one) => [one.value, plain(one.text), one.description && plain(one.description)]);
  const initial = kind ? element[`${kind.initial}s`] : element.initial_options;
  const initialOrSaved = surface.form.get(block.block_id, element.action_id)?.[key] ?? initial ?? [];
  const chosen = new Set(initialOrSaved.map((one) => one.value ?? one));
  const state = () => {
    const values = choices.map(([value]) => value).filter((value) => chosen.has(value));
    return { type: element.type, [key]: kind ? values : allOptions(element).filter((one) => chosen.has(one.value)) };
  };
  const put = () => surface.form.set(block.block_id, element.action_id, state());
  put();
  const change = (value, isOn) => {
    if (isOn) chosen.add(value);
    else chosen.delete(value);
    put();
    if (block.type !== "input" || block.dispatch_action) perform(element, block, surface, state(), label ?? "choice");
  };
  return h(
    "fieldset",
    { class: "choices multi", "aria-label": label ?? plain(element.placeholder) },
    choices.map(([value, words, detail]) =>
      h(
        "label",
        null,
        h("input", { type: "checkbox", checked: chosen.has(value), "aria-label": words, onchange: (event) => change(value, event.target.checked) }),
        h("span", null, words, detail && h("span", { class: "choice-detail" }, detail)),
      ),
    ),
  );
}

// The app returns the options while the person types.
export function externalSelect(element, block, surface, label) {
  const least = element.min_query_length ?? 3;
  const initialOrSaved = surface.form.get(block.block_id, element.action_id) ?? { type: element.type, selected_option: element.initial_option ?? null };
  const put = (option) => surface.form.set(block.block_id, element.action_id, { type: element.type, selected_option: option });
  put(initialOrSaved.selected_option);
  const placeholder = plain(element.placeholder) || "Type to search";
  const field = h("input", { type: "text", role: "combobox", autocomplete: "off", "aria-expanded": "false", "aria-label": label ?? placeholder, placeholder, value: initialOrSaved.selected_option ? plain(initialOrSaved.selected_option.text) : "" });
  const list = new SuggestionList(field, {
    label: placeholder,
    choose: (item) => {
      field.value = item.label;
      put(item.option);
      if (block.type !== "input" || block.dispatch_action) perform(element, block, surface, surface.form.get(block.block_id, element.action_id), item.label, field);
    },
  });
  let requestNumber = 0;
  const fetchOptions = async () => {
    requestNumber += 1;
    const ownNumber = requestNumber;
    if (field.value.length < least) return list.hide();
    const answer = await surface.suggest(block, element, field.value);
    if (ownNumber !== requestNumber || document.activeElement !== field) return;
    const options = answer.options ?? (answer.option_groups ?? []).flatMap((group) => group.options);
    list.show((options ?? []).map((option) => ({ label: plain(option.text), detail: option.description && plain(option.description), option })));
    field.setAttribute("aria-expanded", String(list.isOpen));
  };
  let timer = 0;
  field.addEventListener("input", () => {
    put(null);
    clearTimeout(timer);
    timer = setTimeout(fetchOptions, TYPING_MS);
  });
  field.addEventListener("focus", () => least === 0 && !field.value && fetchOptions());
  field.addEventListener("keydown", (event) => list.key(event));
  return h("span", { class: "select" }, field, icon("chevron"));
}
