const manager = process.env.STATE_manager;
console.log(manager ? `Cache of ${manager} would be kept` : "No package manager to keep a cache of");
