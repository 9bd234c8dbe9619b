import { main } from './main.ts';
import { installArrayMethods } from './sys/array-methods.ts';

installArrayMethods();
main();
