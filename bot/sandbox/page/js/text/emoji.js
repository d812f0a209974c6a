// The most used :shortcodes:.  An unknown one stays as it was written.

const TABLE = `
white_check_mark ✅ heavy_check_mark ✔️ ballot_box_with_check ☑️ x ❌ negative_squared_cross_mark ❎ warning ⚠️ no_entry ⛔
no_entry_sign 🚫 octagonal_sign 🛑 exclamation ❗ question ❓ information_source ℹ️ bangbang ‼️ grey_question ❔ grey_exclamation ❕
large_green_circle 🟢 red_circle 🔴 large_red_circle 🔴 large_yellow_circle 🟡 large_orange_circle 🟠 large_blue_circle 🔵 blue_circle 🔵
large_purple_circle 🟣 white_circle ⚪ black_circle ⚫ white_large_square ⬜ black_large_square ⬛ white_square_button 🔳 large_green_square 🟩
large_blue_square 🟦 large_yellow_square 🟨 large_red_square 🟥 radio_button 🔘 small_blue_diamond 🔹 small_orange_diamond 🔸
hourglass ⌛ hourglass_flowing_sand ⏳ stopwatch ⏱️ timer_clock ⏲️ alarm_clock ⏰ clock1 🕐 clock3 🕒 clock4 🕓 clock8 🕗 clock9 🕘 watch ⌚
arrow_forward ▶️ black_right_pointing_triangle ▶️ double_vertical_bar ⏸️ black_square_for_stop ⏹️ stop_button ⏹️ pause_button ⏸️
fast_forward ⏩ rewind ⏪ black_right_pointing_double_triangle_with_vertical_bar ⏭️ next_track_button ⏭️ arrows_counterclockwise 🔄
repeat 🔁 arrow_right ➡️ arrow_left ⬅️ arrow_up ⬆️ arrow_down ⬇️ leftwards_arrow_with_hook ↩️ arrow_right_hook ↪️ arrow_heading_down ⤵️
twisted_rightwards_arrows 🔀 heavy_plus_sign ➕ heavy_minus_sign ➖ heavy_multiplication_x ✖️ recycle ♻️ infinity ♾️
rocket 🚀 tada 🎉 confetti_ball 🎊 sparkles ✨ star ⭐ star2 🌟 fire 🔥 zap ⚡ boom 💥 bulb 💡 bug 🐛 beetle 🪲 seedling 🌱 herb 🌿
+1 👍 thumbsup 👍 -1 👎 thumbsdown 👎 ok_hand 👌 clap 👏 wave 👋 raised_hands 🙌 pray 🙏 muscle 💪 point_right 👉 point_left 👈 point_up ☝️ point_down 👇
raised_hand ✋ hand ✋ eyes 👀 eye 👁️ heart ❤️ green_heart 💚 blue_heart 💙 yellow_heart 💛 broken_heart 💔 100 💯 zzz 💤
smile 😄 smiley 😃 grin 😁 slightly_smiling_face 🙂 wink 😉 joy 😂 sweat_smile 😅 thinking_face 🤔 neutral_face 😐 cry 😢 sob 😭 scream 😱
sunglasses 😎 relieved 😌 heart_eyes 😍 skull 💀 ghost 👻 robot_face 🤖 alien 👽 crossed_fingers 🤞 see_no_evil 🙈 face_palm 🤦 shrug 🤷
hammer 🔨 wrench 🔧 hammer_and_wrench 🛠️ gear ⚙️ nut_and_bolt 🔩 toolbox 🧰 building_construction 🏗️ construction 🚧 vertical_traffic_light 🚦
traffic_light 🚥 rotating_light 🚨 steam_locomotive 🚂 railway_car 🚃 railway_track 🛤️ bell 🔔 no_bell 🔕 mega 📣 loudspeaker 📢
memo 📝 pencil 📝 pencil2 ✏️ clipboard 📋 page_facing_up 📄 page_with_curl 📃 newspaper 📰 books 📚 book 📖 bookmark 🔖 label 🏷️ paperclip 📎 pushpin 📌
round_pushpin 📍 file_folder 📁 open_file_folder 📂 card_index_dividers 🗂️ wastebasket 🗑️ package 📦 inbox_tray 📥 outbox_tray 📤 scissors ✂️
link 🔗 lock 🔒 unlock 🔓 closed_lock_with_key 🔐 key 🔑 shield 🛡️ mag 🔍 mag_right 🔎 bar_chart 📊 chart_with_upwards_trend 📈
chart_with_downwards_trend 📉 calendar 📅 date 📅 spiral_calendar_pad 🗓️ moneybag 💰 dollar 💵 money_with_wings 💸 coin 🪙 credit_card 💳
speech_balloon 💬 thought_balloon 💭 left_speech_bubble 🗨️ busts_in_silhouette 👥 bust_in_silhouette 👤 brain 🧠 computer 💻 desktop_computer 🖥️
keyboard ⌨️ floppy_disk 💾 electric_plug 🔌 battery 🔋 satellite_antenna 📡 globe_with_meridians 🌐 test_tube 🧪 microscope 🔬 dart 🎯
checkered_flag 🏁 triangular_flag_on_post 🚩 white_flag 🏳️ trophy 🏆 medal 🏅 gift 🎁 coffee ☕ sunny ☀️ cloud ☁️ rainbow 🌈 snowflake ❄️
inbox_tray 📥 email 📧 envelope ✉️ phone ☎️ house 🏠 genie 🧞 mage 🧙 art 🎨 ship 🚢 anchor ⚓ compass 🧭 world_map 🗺️ ladder 🪜 knot 🪢 axe 🪓`;

const EMOJI = new Map();
const words = TABLE.trim().split(/\s+/);
for (let at = 0; at + 1 < words.length; at += 2) EMOJI.set(words[at], words[at + 1]);

export const SHORTCODE = /:([a-z0-9_+'-]{1,60}):/;

// Removes a suffix such as in "+1::skin-tone-2".
export const emoji = (name) => EMOJI.get(String(name).split("::")[0]) ?? null;

export const withEmoji = (text) =>
  String(text).replace(/:([a-z0-9_+'-]{1,60}):/g, (whole, name) => emoji(name) ?? whole);
