// Before anything is drawn: the theme that this browser chose, if it chose one.
{
  const chosen = localStorage.getItem("signalbox-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
