// The values entered into one view or message, in the form of Slack's `state.values`.

const key = (blockId, actionId) => `${blockId}\u0000${actionId}`;

export class FormState {
  #states = new Map();

  set(blockId, actionId, state) {
    this.#states.set(key(blockId, actionId), { blockId, actionId, state });
  }

  get(blockId, actionId) {
    return this.#states.get(key(blockId, actionId))?.state;
  }

  // {block_id: {action_id: {type, value | selected_option | …}}}, of the present blocks.
  values(blocks) {
    const present = new Set(blocks.map((block) => block.block_id));
    const values = {};
    for (const { blockId, actionId, state } of this.#states.values()) {
      if (!present.has(blockId)) continue;
      values[blockId] = { ...values[blockId], [actionId]: state };
    }
    return values;
  }
}

const isEmpty = (state) => {
  if (!state) return true;
  const { type, ...given } = state;
  return Object.values(given).every((value) => value === null || value === "" || (Array.isArray(value) && !value.length));
};

// The checks of Slack's own client before it submits a view: {block_id: message}.
export function validationErrors(blocks, form) {
  const errors = {};
  for (const block of blocks) {
    if (block.type !== "input") continue;
    const state = form.get(block.block_id, block.element.action_id);
    const problem = isEmpty(state) ? (block.optional ? null : "Please complete this required field.") : validationError(block.element, state.value);
    if (problem) errors[block.block_id] = problem;
  }
  return errors;
}

function validationError(element, value) {
  if (element.type === "plain_text_input") return lengthError(element, value);
  if (element.type === "number_input") return numberError(element, value);
  if (element.type === "email_text_input" && !/^\S+@\S+\.\S+$/.test(value)) return "Please enter a valid email address.";
  if (element.type === "url_text_input" && !URL.canParse(value)) return "Please enter a valid URL.";
  return null;
}

function lengthError({ min_length: least, max_length: most }, value) {
  if (least && value.length < least) return `This entry needs at least ${least} characters.`;
  if (most && value.length > most) return `This entry may have at most ${most} characters.`;
  return null;
}

function numberError({ is_decimal_allowed: decimals, min_value: least, max_value: most }, value) {
  const number = Number(value);
  if (Number.isNaN(number)) return "Please enter a number.";
  if (!decimals && !Number.isInteger(number)) return "Please enter a whole number.";
  if (least !== undefined && number < Number(least)) return `Please enter a number of at least ${least}.`;
  if (most !== undefined && number > Number(most)) return `Please enter a number of at most ${most}.`;
  return null;
}
