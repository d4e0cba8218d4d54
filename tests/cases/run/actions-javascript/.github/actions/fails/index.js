console.log("fails now"); process.exit(7);
