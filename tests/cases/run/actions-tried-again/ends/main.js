console.log(`begins ${process.env.INPUT_NUMBER}`);
