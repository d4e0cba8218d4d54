console.log(`removing ${process.env.STATE_builder}`);
