const home = await (await fetch("/dashboards/home.json")).json(); document.title = home.title;
