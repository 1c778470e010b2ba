// Keeps the stock on the page up to date over the WebSocket, and comes back with some delay and jitter when it is closed.
(() => {
	const light = document.getElementById("live");
	let wait = 500;
	const connect = () => {
		const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stock`);
		socket.onopen = () => { wait = 500; light.classList.add("on"); };
		socket.onmessage = (event) => {
			for (const { slug, stock } of JSON.parse(event.data).items) {
				for (const place of document.querySelectorAll(`[data-stock="${CSS.escape(slug)}"]`)) {
					if (place.textContent !== String(stock)) {
						place.textContent = stock;
						place.classList.remove("changed");
						requestAnimationFrame(() => place.classList.add("changed"));
					}
				}
			}
		};
		socket.onclose = () => {
			light.classList.remove("on");
			setTimeout(connect, wait + Math.random() * wait);
			wait = Math.min(wait * 2, 15000);
		};
	};
	connect();
})();
