// The actions of the elements in a view (a modal or the Home tab).

import { send } from "../api.js";
import { place } from "../route.js";
import { person } from "../world.js";

// The app may publish a Home tab again at any time, with new ids for its blocks: an action whose
// name is unique is sent under that name.
function blockId(view, block, { action_id: actionId }) {
  if (view.type !== "home") return block.block_id;
  const controls = view.blocks.flatMap((one) => [...(one.elements ?? []), one.accessory, one.element]);
  return controls.filter((one) => one?.action_id === actionId).length === 1 ? undefined : block.block_id;
}

export function viewSurface(view, form) {
  const body = (block, element) => ({ user: person(), view_id: view.id, block_id: blockId(view, block, element), action_id: element.action_id });
  return {
    form,
    isView: true,
    currentChannel: () => place.channel,
    act: (block, element, { type, ...state }) => send("view/action", { ...body(block, element), ...state, values: form.values(view.blocks) }),
    suggest: (block, element, value) => send("view/suggest", { ...body(block, element), value }),
  };
}
